# proof: gro_guess
# breaks: outside object bounds
# old guesses are followed
/tuoi_gro_fast(tuo_gro/,/^}/s/if (guess >= gro->item_count) return 0;//
