from __future__ import annotations

from ipydock.models import Recipe
from ipydock.recipe.layers import packages_run
from ipydock.recipe.parts import MOST, Part, before, divided, texts, whole
from ipydock.recipe.synthesize import Options, synthesize
from tests import samples

BASE = "python:3.11-slim-bookworm@sha256:" + "a" * 64


def lock(*pins: str) -> str:
    entries = (f"{pin} \\\n    --hash=sha256:{'0' * 64}\n    # via the notebook\n" for pin in pins)
    return "# heading\n" + "".join(entries)


def recipe(*pins: str, modules: tuple[str, ...] = ("six",)) -> Recipe:
    made = synthesize(samples.capture(requested=()), Options(base=BASE))
    return made.model_copy(update={"lock": lock(*pins), "modules": modules})


def part(*pins: str, modules: tuple[str, ...] = ("six",)) -> Part:
    return Part(lock(*pins), modules)


def pins(made: Part) -> list[str]:
    return [line.split(" ")[0] for line in made.lock.splitlines() if "==" in line]


def test_all_in_one_layer_at_first() -> None:
    made = recipe("a==1", "b==2")
    assert divided(made, ()) == whole(made) == (Part(made.lock, ("six",)),)
    assert dict(texts(made, whole(made)))["Dockerfile"] == made.dockerfile


def test_what_is_added_gets_a_layer_of_its_own() -> None:
    made = recipe("a==1", "b==2", "c==3", modules=("c.d", "six"))
    kept, added = divided(made, [[part("a==1", "c==3")]])
    assert kept == part("a==1", "c==3")
    assert pins(added) == ["b==2"]
    assert "--hash=sha256:" in added.lock and added.modules == ("c.d",)
    files = dict(texts(made, (kept, added)))
    assert files["requirements.lock"] == kept.lock
    assert files["requirements.1.lock"] == added.lock
    assert files["modules.1.txt"] == "c.d\n"
    assert files["Dockerfile"].count("pip install") == 2
    assert files["Dockerfile"].count(str(packages_run(1))) == 1


def test_an_import_more_of_what_is_there_changes_no_layer() -> None:
    made = recipe("a==1", modules=("six", "six.moves"))
    assert divided(made, [[part("a==1")]]) == (part("a==1"),)


def test_changed_and_removed_pins_make_the_layer_anew() -> None:
    assert divided(made := recipe("a==2", "b==1"), [[part("a==1")]]) == whole(made)
    assert divided(made := recipe("b==1"), [[part("a==1", "b==1")]]) == whole(made)


def test_the_layers_before_a_changed_one_are_kept() -> None:
    chain = [part("a==1"), part("b==1"), part("c==1")]
    found = divided(recipe("a==1", "b==2", "c==1"), [chain])
    assert found[0] == chain[0]
    assert [pins(p) for p in found[1:]] == [["b==2", "c==1"]]


def test_the_chain_that_keeps_most_is_taken() -> None:
    chains = [[part("a==1")], [part("a==1", "b==1")], [part("x==1")]]
    assert divided(recipe("a==1", "b==1", "c==1"), chains)[0] == chains[1][0]


def test_a_long_chain_becomes_one_layer_again() -> None:
    chain = [part(f"p{n}==1") for n in range(MOST)]
    names = [f"p{n}==1" for n in range(MOST)]
    assert divided(recipe(*names), [chain]) == tuple(chain)
    assert len(divided(recipe(*names, "more==1"), [chain])) == 1


def test_names_are_compared_as_the_index_does() -> None:
    assert divided(recipe("A_b==1"), [[part("a-b==1")]]) == (part("a-b==1"),)


def test_comments_do_not_tell_bases_apart() -> None:
    made = recipe("a==1")
    other = made.model_copy(update={"dockerfile": made.dockerfile.replace("# What", "# what", 1)})
    assert before(made) == before(other)
    assert BASE in before(made)
    assert before(made) != before(made.model_copy(update={"platform": "linux/arm64"}))
