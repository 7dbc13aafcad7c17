"""Several machines that train one model: who they are, how they meet, and the work directory they share."""
