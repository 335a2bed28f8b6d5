# Starts GoBGP and gives it its routes as soon as its API answers.
gobgpd -t toml -f /run/lab/gobgp.toml &
until gobgp global > /dev/null 2>&1; do sleep 0.2; done
gobgp global rib add -a ipv4 198.51.100.64/28 community 64497:1 med 44 origin igp
wait
