# Starts GoBGP with two VPNs and a route in each. The first is tried until the server behind the API takes it.
gobgpd -t toml -f /run/lab/gobgp1.toml &
until gobgp vrf add red rd 64497:1 rt both 64500:100 2> /dev/null; do sleep 0.2; done
gobgp vrf add green rd 64497:2 rt both 64500:200
gobgp vrf red rib add 198.51.100.0/28
gobgp vrf green rib add 198.51.100.16/28
wait
