# proof: gro_offered
# breaks: a guess leads to an open item
# every item is offered
/tuoi_gro_offer(tuo_gro/,/^}/s/if (gro->items\[at\].fast_len) //
