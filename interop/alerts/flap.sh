#!/bin/sh
# The route is withdrawn and announced nine times. What is withdrawn for less than half a second is not missed by anybody.
for _ in 1 2 3 4 5 6 7 8 9; do
    birdc -s /run/bird.ctl disable flapping
    sleep 0.2
    birdc -s /run/bird.ctl enable flapping
    sleep 0.2
done
