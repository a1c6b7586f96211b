# proof: gso_stamp
# breaks: FIN and PSH
# FIN and PSH on every segment
s/if (!last) flags \&= ~(unsigned)(TUO__FIN | TUO__PSH);//
