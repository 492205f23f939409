"""The way of one feedback: decode, claim, join, resolve, log, settle. No Kafka client in it."""
