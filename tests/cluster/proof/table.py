"""The tables that are printed at the end, as Markdown."""

import shop


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def verdict(result):
    return "NOT as promised" if result.problems else "as promised"


def compared(results):
    """Answered, failed, and later than a second: each way through the same seconds."""
    ways = [way for way in shop.WAYS if way.compared]
    rows = [
        [result.row.title, *(result.counts[way].cell() for way in ways), verdict(result)]
        for result in results if result.counts
    ]
    return table(["what happens", *(way.name for way in ways), ""], rows)


def told(results):
    """What else there was to see."""
    rows = [
        [result.row.title, "<br>".join(result.notes) or "-", verdict(result)]
        for result in results if result.notes or not result.counts
    ]
    return table(["what happens", "what was seen", ""], rows)


def cost(results):
    rows = [list(figures) for result in results for figures in result.figures]
    return table(["sidecar", "CPU", "memory", "most memory since its start"], rows)


def allowed(results):
    """Where more than none may fail, and why."""
    rows = [
        [result.row.title, str(result.row.kept), str(result.row.grpc), result.row.why]
        for result in results if result.row.why
    ]
    return table(["what happens", "keep-alive (GET) may fail", "gRPC (POST) may fail", "why"], rows)


def print_all(results):
    groups = [
        ("answered / failed / later than 1 s", compared, any(result.counts for result in results)),
        ("seen beside that", told, any(result.notes or not result.counts for result in results)),
        ("cost of a sidecar", cost, any(result.figures for result in results)),
        ("where more than none may fail", allowed, any(result.row.why for result in results)),
    ]
    for title, make, wanted in groups:
        if wanted:
            print(f"\n{title}\n\n{make(results)}")
