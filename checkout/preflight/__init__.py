"""The checklist before a sale, as a command."""
