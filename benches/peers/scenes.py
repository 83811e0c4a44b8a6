"""What befalls the pods. A scene is steady from the warm-up on, or begins as the counted time does."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scene:
    name: str
    title: str
    # Commands for pods, from before the warm-up.
    steady: tuple = ()
    # Commands at the begin of the counted time.
    sudden: tuple = ()
    # The pods whose share is told.
    odd: tuple = field(default=(0,))
    # So many pods join at the begin of the counted time.
    joining: int = 0


SCENES = [
    Scene("slow", "one pod of ten is 10x slower", steady=("0 slow 10",)),
    Scene(
        "pauses",
        "each pod pauses 200 ms every 5 s, one after the other",
        steady=tuple(f"{pod} pause 0.2 5 {pod / 2}" for pod in range(10)),
        odd=(),
    ),
    Scene("fails", "one pod of ten fails 20 % at once, with status 500", steady=("0 fail 0.2",)),
    Scene("hangs", "one pod of ten hangs", sudden=("0 hang",)),
    Scene(
        "cold",
        "two pods join eight, 20x slower for 3 s",
        sudden=("8 cold 20 3", "9 cold 20 3"),
        odd=(8, 9),
        joining=2,
    ),
    Scene("refuses", "one pod of ten is gone: its connections end, further ones are refused", sudden=("0 go",), odd=()),
]
