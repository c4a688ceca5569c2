"""Do people get what they went on to choose: ranking and rating metrics, their intervals and tests, the leaderboard."""
