"""The served graph of turbofan models: from windows of channels to remaining cycles."""
