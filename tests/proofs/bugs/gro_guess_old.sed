# proof: gro_guess
# breaks: guess: forgotten\|guess: old, or of an item
# guess_base moves one too little: the guess at the last of max_packets items stays
/^static void tuoi_gro_forget_guesses/,/^}/s/+= gro->desc.max_packets;/+= gro->desc.max_packets - 1;/
