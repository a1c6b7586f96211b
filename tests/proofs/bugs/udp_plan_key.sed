# proof: udp_plan
# breaks: outside object bounds
# a key out of range is written to open
/^static void tuoi_udp_link/,/^}/s/if (slot->key >= key_count) continue;//
