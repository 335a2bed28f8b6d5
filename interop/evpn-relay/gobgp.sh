# Starts GoBGP and gives it its routes. The first is tried until the server behind the API takes it.
gobgpd -t toml -f /run/lab/gobgp.toml &
add() { gobgp global rib add -a evpn "$@"; }
until add a-d esi 0 etag 10 label 100 rd 64499:1 rt 64499:1 2> /dev/null; do sleep 0.2; done
add macadv 00:00:5e:00:53:01 198.51.100.7 esi 0 etag 10 label 200 rd 64499:1 rt 64499:1 encap vxlan
add macadv 00:00:5e:00:53:02 0.0.0.0 esi 0 etag 10 label 201 rd 64499:1 rt 64499:1 encap vxlan
add multicast 192.0.2.14 etag 10 rd 64499:1 rt 64499:1 encap vxlan
add esi 192.0.2.14 esi LACP aa:bb:cc:dd:ee:ff 100 rd 64499:1
add prefix 198.51.100.64/26 gw 198.51.100.65 esi 0 etag 0 label 300 rd 64499:1 rt 64499:1 encap vxlan
wait
