# proof: gro_guess
# breaks: guess: forgotten\|guess: old, or of an item
# the table is not emptied when guess_base starts over
/^static void tuoi_gro_forget_guesses/,/^}/s/TUO_MEMSET(gro->guess, 0, sizeof gro->guess);//
