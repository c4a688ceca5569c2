"""`recsys evaluate`: registered models on split files, with no Dagster and no W&B."""

import argparse

from rich.console import Console

from recsys_pipeline.evaluate.curve import curve_document, evaluate_curve, print_curve
from recsys_pipeline.evaluate.output import evaluation_document, print_evaluation, write_json
from recsys_pipeline.evaluate.request import CurveFile, parse_request
from recsys_pipeline.evaluate.run import evaluate


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Print the figures, and write them as JSON where asked."""
    request = parse_request(parsed)
    if isinstance(request.files, CurveFile):
        curve = evaluate_curve(request, request.files, console)
        print_curve(curve, console)
        document = curve_document(curve)
    else:
        evaluation = evaluate(request, request.files, console)
        print_evaluation(evaluation, console)
        document = evaluation_document(evaluation)
    if request.json is not None:
        write_json(document, request.json)
        console.print(f"Written {request.json}", soft_wrap=True)
    return 0
