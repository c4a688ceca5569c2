"""Vectors for items that nobody has interacted with yet, from what is known of them on the day they arrive.

A factorisation learns an item's vector from its interactions, so a new item has none. Here a regression learns, over
the items that do have interactions, to map what can be seen of an item (the embedding of its photo, its categories) to
its vector in the factorisation's space; new items then get theirs by the same map. Gantner, Drumond, Freudenthaler,
Rendle and Schmidt-Thieme, "Learning attribute-to-feature mappings for cold-start recommendations", ICDM 2010. Another
way is to train the factorisation itself with inputs left out: Volkovs, Yu and Poutanen, "DropoutNet", NeurIPS 2017.
"""
