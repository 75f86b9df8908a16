"""On-demand list prices in us-east-1 in USD, without free tiers.

``ANALYSIS_PRICES`` are from section 1.3 of the analysis, see docs/origin.md; ``AWS_PRICES`` are from AWS's price pages,
read in November 2025. If the analysis is wrong by a factor, the price is in ``AWS_PRICES`` with a comment. Prices in
other regions differ by some per cent; an estimate names the region of its prices.
"""

from __future__ import annotations

HOURS = 730.0  # per month, as in AWS's calculator
AS_OF = "2025-11"
REGION = "us-east-1"

ANALYSIS_PRICES = {
    "api.requests_million": 3.50,
    "alarm": 0.10,  # per metric of an alarm
    "cloudfront.gb_out": 0.085,
    "ec2.gb_out": 0.09,
    "ec2.t3.medium": 0.0416,
    "lambda.gb_s": 0.0000166667,
    "lambda.requests_million": 0.20,
    "logs.gb_ingested": 0.50,
    "logs.gb_stored": 0.03,
    "rds.gb_multi_az": 0.23,
    "route53.health_check": 0.50,
    "route53.queries_million": 0.40,
    "route53.zone": 0.50,
    "s3.gb": 0.023,
    "s3.get_thousand": 0.0004,
    "s3.put_thousand": 0.005,
    "sns.requests_million": 0.50,
    "sqs.requests_million": 0.40,
}

AWS_PRICES = {
    "alb.hour": 0.0225,
    "alb.lcu_hour": 0.008,
    "backup.gb": 0.05,
    # HTTPS; the analysis has 0.0075 per thousand, which is AWS's price per ten thousand.
    "cloudfront.requests_10k": 0.01,
    "cloudwatch.dashboard": 3.00,
    "cloudwatch.metric": 0.30,
    "config.item": 0.003,
    "durable.operations_million": 8.00,
    "dynamodb.gb": 0.25,
    "dynamodb.pitr_gb": 0.20,
    "dynamodb.reads_million": 0.125,
    "dynamodb.writes_million": 0.625,
    "ebs.gp3_gb": 0.08,
    "ec2.t3.small": 0.0208,
    "ec2.t4g.medium": 0.0336,
    "ec2.t4g.micro": 0.0084,
    "ec2.t4g.small": 0.0168,
    "endpoint.hour": 0.01,
    "eventbridge.scheduler_million": 1.00,
    "guardduty.events_million": 4.00,
    "ipv4.hour": 0.005,  # per public address, including a load balancer's
    "kms.key": 1.00,
    "kms.requests_10k": 0.03,
    "kms.sign_10k": 0.15,  # asymmetric, other than RSA 2048
    "lambda.provisioned_gb_s": 0.0000041667,
    "lambda.snapshot_gb_s": 0.0000015046,
    "nat.hour": 0.045,
    "rds.db.t4g.medium": 0.065,
    "rds.db.t4g.micro": 0.016,
    "rds.db.t4g.small": 0.032,
    "rds.gb_single_az": 0.115,
    "region.gb_transferred": 0.02,
    "route53.health_check_feature": 1.00,  # per feature: HTTPS, string matching …
    "s3.gb_infrequent": 0.0125,
    "secrets.secret": 0.40,
    "securityhub.check": 0.001,  # the first 100,000 checks of an account and region
    "waf.acl": 5.00,
    "waf.requests_million": 0.60,
    "waf.rule": 1.00,
    "xray.traces_million": 5.00,
}


def price(name: str) -> float:
    """Return the price of one unit in USD.

    Raises:
        KeyError: no price is entered under ``name``.
    """
    return ANALYSIS_PRICES[name] if name in ANALYSIS_PRICES else AWS_PRICES[name]
