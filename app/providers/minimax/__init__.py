"""MiniMax: pictures and videos over its V1 API (platform.minimax.io), with one key."""

from app.providers.minimax.image import MiniMaxImage
from app.providers.minimax.video import MiniMaxVideo

__all__ = ["MiniMaxImage", "MiniMaxVideo"]
