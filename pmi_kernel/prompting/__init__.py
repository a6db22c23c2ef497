"""The words put to a model, and how they are read back: chats, actions, answers."""
