# proof: gso_plan_counted
# breaks: so many segments
# one segment too many when sizes divide
/static void tuoi_gso_plan_cut/,/^}/s/payload_len \/ gso_size + (payload_len % gso_size != 0)/payload_len \/ gso_size + 1/
