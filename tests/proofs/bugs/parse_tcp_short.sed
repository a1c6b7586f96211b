# proof: parse_promise
# breaks: payload\|outside object bounds
# a TCP header may end beyond the packet
s/info->l4_hdr_len < TUOI_TCP_LEN || info->l4_hdr_len > readable) return TUO_E_TCP_HEADER/info->l4_hdr_len < TUOI_TCP_LEN) return TUO_E_TCP_HEADER/
