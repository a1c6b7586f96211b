# proof: gro_join
# breaks: only the last is short\|open if more may follow
# the item above may have shorter segments
/^static tuo_verdict tuoi_decide_join/,/^}/s/: upper->gso_size != lower->gso_size)/: upper->gso_size > lower->gso_size)/
