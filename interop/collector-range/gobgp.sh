# Starts GoBGP and gives it its routes as soon as its API answers.
gobgpd -t toml -f /run/lab/gobgp.toml &
until gobgp global > /dev/null 2>&1; do sleep 0.2; done
gobgp global rib add -a ipv4 198.51.100.32/28 med 44 origin igp
gobgp global rib add -a ipv4 203.0.113.0/28 origin igp
wait
