# proof: gro_tunnel_enter
# breaks: headers are not too long
# outer and inner headers together may be longer than a superpacket has room for
s/if (facts->shape.hdr_len > TUO_HEADER_MAX) return TUO_V_HEADER_TOO_LONG;/if (facts->shape.hdr_len - inner_off > TUO_HEADER_MAX) return TUO_V_HEADER_TOO_LONG;/
