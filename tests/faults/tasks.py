"""What many processes or threads do at the same time, each with a store of its own."""
