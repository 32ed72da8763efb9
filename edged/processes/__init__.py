"""Child processes: started so that they die with us, listened to, asked one question, and ended whatever they do."""
