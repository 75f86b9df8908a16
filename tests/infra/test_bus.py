from __future__ import annotations

import json

from infrafabric.recorder.redelivery import LAST_RECEIVE, MAX_RECEIVES

AGENTS = [f"h{n:02}" for n in range(1, 11)]
TOPIC = "arn:aws:sns:us-east-1:123456789012:infrafabric-dev-bus"


def test_only_the_topic_may_send_to_an_agents_queue_without_a_grant(dev):
    for agent in AGENTS:
        statements = json.loads(dev.of("sqs/queuePolicy:QueuePolicy")[f"bus-{agent}-policy"]["policy"])["Statement"]
        (allowed,) = [s for s in statements if s["Effect"] == "Allow"]
        assert allowed["Principal"] == {"Service": "sns.amazonaws.com"}
        assert allowed["Action"] == "sqs:SendMessage"
        assert allowed["Resource"] == f"arn:aws:sqs:us-east-1:123456789012:infrafabric-dev-{agent}-inbox"
        assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": TOPIC}}


def test_an_agent_hears_only_what_is_addressed_to_it_and_asks_something_of_it(dev):
    for agent in AGENTS:
        subscription = dev.of("sns/topicSubscription:TopicSubscription")[f"bus-{agent}-subscription"]
        assert json.loads(subscription["filterPolicy"]) == {
            "receiver": [f"if://agent/{agent}"],
            "performative": ["request", "query-if", "cancel"],
        }
        assert subscription["filterPolicyScope"] == "MessageAttributes"
        assert subscription["rawMessageDelivery"] is True


def test_what_the_topic_cannot_deliver_ends_in_the_agents_dead_letter_queue(dev):
    for agent in AGENTS:
        subscription = dev.of("sns/topicSubscription:TopicSubscription")[f"bus-{agent}-subscription"]
        target = json.loads(subscription["redrivePolicy"])["deadLetterTargetArn"]
        assert target.endswith(f"infrafabric-dev-{agent}-inbox-dlq")
        resource_policy = json.loads(dev.of("sqs/queuePolicy:QueuePolicy")[f"bus-{agent}-dlq-policy"]["policy"])
        assert [s["Resource"] for s in resource_policy["Statement"] if s["Effect"] == "Allow"] == [target]


def test_no_message_is_published_before_the_doors_are_open(primary):
    """Without the policies SNS drops messages silently."""
    for agent in AGENTS:
        assert {f"bus-{agent}-policy", f"bus-{agent}-dlq-policy"} <= primary.before(f"bus-{agent}-subscription")


def test_the_topic_is_encrypted_with_our_key_and_refuses_plain_http(primary):
    topic = primary.of("sns/topic:Topic")["bus-topic"]
    assert topic["kmsMasterKeyId"].endswith("key/keys-data")
    policy = primary.of("sns/topicPolicy:TopicPolicy")["bus-topic-policy"]
    (refusal,) = json.loads(policy["policy"])["Statement"]
    assert (refusal["Effect"], refusal["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_history_stays_in_order_within_a_session_and_sessions_do_not_wait_for_one_another(dev):
    queue = dev.of("sqs/queue:Queue")["recorder-queue"]
    assert queue["name"] == "infrafabric-dev-if-agent-results.fifo"
    assert queue["fifoQueue"] is True
    assert (queue["deduplicationScope"], queue["fifoThroughputLimit"]) == ("messageGroup", "perMessageGroupId")
    assert dev.of("sqs/queue:Queue")["recorder-dlq-queue"]["fifoQueue"] is True, "a FIFO queue needs a FIFO DLQ"


def test_the_recorder_gives_a_record_up_before_its_queue_does_which_states_no_reason(primary):
    """In a FIFO queue a fresh copy would lose its place, so the deliveries must last."""
    queue = primary.of("sqs/queue:Queue")["recorder-queue"]
    assert json.loads(queue["redrivePolicy"])["maxReceiveCount"] == MAX_RECEIVES > LAST_RECEIVE


def test_nothing_can_be_redriven_into_the_queue_of_lost_sessions(primary):
    allow = primary.of("sqs/redriveAllowPolicy:RedriveAllowPolicy")["coordinator-dlq-allow"]
    assert json.loads(allow["redriveAllowPolicy"]) == {"redrivePermission": "denyAll"}
