# proof: gro_join
# breaks: IPv4 IDs go on
# two items join whatever their IPv4 IDs are
/^static tuo_verdict tuoi_decide_join/,/^}/s/    if (tuoi_is_ip4(lower->shape.kind) \&\&/    if (0 \&\&/
