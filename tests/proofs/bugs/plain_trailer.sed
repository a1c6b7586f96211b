# proof: parse_plain
# breaks: plain
# the shortcut takes IPv6 packets with bytes behind their end
s/tuo__rd16(ip + TUO__IP6_PAYLOAD) != l4_len)/tuo__rd16(ip + TUO__IP6_PAYLOAD) > l4_len)/
