# proof: eva_parse
# breaks: valid_read(tcp
# as parse_tcp_short: for Frama-C
s/if (readable < TUOI_TCP_LEN) return TUO_E_TCP_HEADER;//
