# proof: parse_ext
# breaks: outside object bounds\|walk: ends
# the room for an extension header is not checked before it is read
/^static TUO__NOINLINE tuo_result tuo__parse_ip6_ext/,/^}/s/count == TUO_IP6_EXT_MAX || info->total_len - off < 8/count == TUO_IP6_EXT_MAX/
