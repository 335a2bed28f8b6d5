# Starts GoBGP with one VPN, which makes it ask for one route target.
gobgpd -t toml -f /run/lab/gobgp2.toml &
until gobgp vrf add blue rd 64498:1 rt both 64500:100 2> /dev/null; do sleep 0.2; done
wait
