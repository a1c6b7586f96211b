# proof: gro_offered
# breaks: fast: only the newest
# an item that was closed by the slow path stays open for the fast path
/^static tuo_verdict tuoi_gro_try_append/,/^}/s/item->fast_len = tuoi_fast_len(item);//
