# proof: gro_offered
# breaks: fast: only the newest
# the fast path may still append to the item that was the newest
/^static void tuoi_gro_set_newest/,/^}/s/gro->items\[\*newest\].fast_len = 0;//
