"""What every training shares: its batches, its loop, and what it leaves behind."""
