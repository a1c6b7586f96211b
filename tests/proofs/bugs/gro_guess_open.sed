# proof: gro_guess
# breaks: guess: forgotten\|guess: old, or of an item
# pushes leave no trace, so the drain forgets nothing
/tuoi_gro_room(tuo_gro/,/^}/s/gro->flows_open = 1;//
