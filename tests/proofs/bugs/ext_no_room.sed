# proof: parse_ext
# breaks: outside object bounds\|walk: ends
# the room for an extension header is not checked before it is read
/^static TUOI_NOINLINE tuo_result tuoi_parse_ip6_ext/,/^}/s/count == TUO_IP6_EXT_MAX || end - off < 8/count == TUO_IP6_EXT_MAX/
