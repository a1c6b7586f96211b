# proof: parse_plain
# breaks: same lengths\|plain
# the shortcut takes IPv6 packets with bytes behind their end
s/tuoi_rd16(ip + TUOI_IP6_PAYLOAD) != l4_len)/tuoi_rd16(ip + TUOI_IP6_PAYLOAD) > l4_len)/
