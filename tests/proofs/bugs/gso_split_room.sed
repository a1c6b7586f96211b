# proof: gso_split
# breaks: ^ *result$
# headroom is not part of the room
/^TUO_API tuo_result tuo_gso_split/,/^}/s/capacity - offset < len/capacity < len/
