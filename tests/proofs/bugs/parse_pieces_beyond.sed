# proof: parse_pieces
# breaks: outside object bounds\|pieces: all headers
# the L4 header is read up to the end of the packet, not of its first piece
/tuo_result tuoi_parse_l4/,/^}/s/l4_readable = .*;/l4_readable = len;/
