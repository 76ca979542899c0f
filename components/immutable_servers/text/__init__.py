"""Text for readers, of whatever others have said."""
