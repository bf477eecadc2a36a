"""What does the page that the example comes from leave to its reader? A Redis client and a number."""
import os

import redis

redis_client = redis.Redis(port=int(os.environ["SEED_REDIS_PORT"]), decode_responses=True)
phone_number = os.environ["SEED_PHONE_NUMBER"]
