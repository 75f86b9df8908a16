"""Reference agent handler of the benchmark, from the requirements of the project, with a current model.

The agent handler is compared with this code, so this code keeps its flaws.
"""

import json
import logging
import os
import time
from typing import Any

import boto3
from anthropic import Anthropic

logger = logging.getLogger()
logger.setLevel(logging.INFO)

s3_client = boto3.client("s3")
sns_client = boto3.client("sns")


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """
    InfraFabric Agent Handler for Lambda.

    Executes a Haiku agent task and stores results in S3
    """

    try:
        # Parse input message
        if "Records" in event:
            # SQS trigger
            message_body = json.loads(event["Records"][0]["body"])
        else:
            # Direct invocation
            message_body = event

        session_id = message_body.get("session_id")
        agent_id = message_body.get("agent_id")
        task = message_body.get("task")
        context_data = message_body.get("context", {})

        logger.info(f"Starting agent {agent_id} for task: {task}")

        # Initialize Anthropic client
        client = Anthropic()

        # Build system prompt
        system_prompt = f"""
        You are Agent H{agent_id} in the InfraFabric multi-agent orchestration framework.

        Session ID: {session_id}
        Task: {task}

        Context:
        {json.dumps(context_data, indent=2)}

        Instructions:
        1. Complete the task thoroughly and provide detailed analysis
        2. Structure your response in clear sections
        3. Include confidence scores for findings
        4. Cite sources for all claims
        5. Provide JSON-formatted results at the end
        """

        # Execute agent task with Claude Haiku
        start_time = time.time()

        response = client.messages.create(
            model="claude-haiku-5-5",
            max_tokens=8192,
            system=system_prompt,
            messages=[{"role": "user", "content": task}],
        )

        execution_time = time.time() - start_time

        # Extract response
        agent_output = response.content[0].text

        # Prepare result
        result = {
            "agent_id": agent_id,
            "session_id": session_id,
            "task": task,
            "output": agent_output,
            "execution_time_seconds": execution_time,
            "tokens": {"input": response.usage.input_tokens, "output": response.usage.output_tokens},
            "timestamp": int(time.time()),
            "status": "success",
        }

        # Store result in S3
        s3_bucket = os.environ.get("RESULTS_BUCKET", "if-state")
        s3_key = f"{session_id}/agents/h{agent_id}/result.json"

        s3_client.put_object(
            Bucket=s3_bucket,
            Key=s3_key,
            Body=json.dumps(result, indent=2),
            ContentType="application/json",
            ServerSideEncryption="AES256",
        )

        logger.info(f"Stored result: s3://{s3_bucket}/{s3_key}")

        # Publish completion notification
        topic_arn = os.environ.get("COMPLETION_TOPIC_ARN")
        if topic_arn:
            sns_client.publish(
                TopicArn=topic_arn,
                Subject=f"Agent H{agent_id} Complete",
                Message=json.dumps(
                    {
                        "agent_id": agent_id,
                        "session_id": session_id,
                        "status": "complete",
                        "execution_time": execution_time,
                        "tokens": result["tokens"],
                    }
                ),
            )

        # Publish metrics
        cloudwatch = boto3.client("cloudwatch")
        cloudwatch.put_metric_data(
            Namespace="InfraFabric/Agents",
            MetricData=[
                {
                    "MetricName": "ExecutionTime",
                    "Value": execution_time,
                    "Unit": "Seconds",
                    "Dimensions": [
                        {"Name": "AgentId", "Value": f"h{agent_id}"},
                        {"Name": "SessionId", "Value": session_id},
                    ],
                },
                {
                    "MetricName": "TokensConsumed",
                    "Value": response.usage.input_tokens + response.usage.output_tokens,
                    "Unit": "Count",
                    "Dimensions": [
                        {"Name": "AgentId", "Value": f"h{agent_id}"},
                        {"Name": "SessionId", "Value": session_id},
                    ],
                },
            ],
        )

        return {
            "statusCode": 200,
            "body": json.dumps(
                {
                    "status": "success",
                    "agent_id": agent_id,
                    "result_location": f"s3://{s3_bucket}/{s3_key}",
                    "execution_time": execution_time,
                    "tokens": result["tokens"],
                }
            ),
        }

    except Exception as e:
        logger.error(f"Agent execution failed: {e!s}", exc_info=True)

        # Store error result
        error_result = {"status": "error", "error_message": str(e), "timestamp": int(time.time())}

        try:
            s3_client.put_object(
                Bucket=os.environ.get("RESULTS_BUCKET", "if-state"),
                Key=f"{message_body.get('session_id')}/agents/h{message_body.get('agent_id')}/error.json",
                Body=json.dumps(error_result),
                ServerSideEncryption="AES256",
            )
        except:
            pass

        return {"statusCode": 500, "body": json.dumps({"status": "error", "message": str(e)})}
