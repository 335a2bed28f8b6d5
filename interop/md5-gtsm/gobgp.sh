# Starts GoBGP and gives it its route as soon as its API answers.
gobgpd -t toml -f /run/lab/gobgp.toml &
until gobgp global > /dev/null 2>&1; do sleep 0.2; done
gobgp global rib add -a ipv4 198.51.100.32/28 origin igp
wait
