// Publishes one chat and one feedback.
import { randomUUID } from 'node:crypto'
import { Producer, stringSerializers } from '@platformatic/kafka'

const prefix = process.env.FEEDBACK_TOPIC_PREFIX ?? ''
const producer = new Producer({
  clientId: 'node-example',
  bootstrapBrokers: (process.env.FEEDBACK_KAFKA_BOOTSTRAP_SERVERS ?? '127.0.0.1:9092').split(','),
  serializers: stringSerializers,
  acks: -1, // all
  idempotent: true,
  timeout: 10_000,
  retries: 3
})

const request = `node-${randomUUID()}`
const chat = {
  type: 'ChatCompleted',
  event_id: randomUUID(),
  client_request_id: request,
  completed_at: new Date().toISOString()
}
const feedback = {
  type: 'FeedbackSubmitted',
  event_id: randomUUID(),
  client_request_id: request,
  source: { type: 'HUMAN', id: 'anna' },
  submitted_at: new Date().toISOString(),
  assessments: [{ name: 'helpful', value: true, rationale: 'Says "why", too 👍' }]
}

async function publish(topic, event) {
  const key = event.client_request_id ?? event.trace_id
  await producer.send({ messages: [{ topic: prefix + topic, key, value: JSON.stringify(event) }] })
}

try {
  await publish('chat-completed', chat)
  await publish('feedback-submitted', feedback)
  console.log('acknowledged')
} catch (error) {
  // Keep the event and send the same one again later, event_id and all.
  const causes = (error.errors ?? []).map(cause => cause.message)
  console.error('not acknowledged:', [error.message, ...causes].join('; '))
  process.exitCode = 1
} finally {
  await producer.close()
}
