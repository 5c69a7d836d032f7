"""Networks of a library on the command line, and their recipes."""

from __future__ import annotations

import pytest

from src.cli.families import recipe_of
from src.cli.grammar import translate
from src.errors import UsageError
from tests.conftest import ROOT

CONFIGS = ROOT / "configs"


def words(*argv: str) -> list[str]:
    return [word.replace(f"{CONFIGS}/", "") for word in translate(argv, CONFIGS)]


def test_a_network_of_a_library_is_a_recipe_and_a_name() -> None:
    assert words("model=timm/lcnet_050", "trainer.max_epochs=3") == [
        "fit",
        "--config=train.yaml",
        "--config=data/digits.yaml",
        "--config=family/mobile.yaml",
        "--model.init_args.architecture=timm/lcnet_050",
        "--trainer.max_epochs=3",
    ]


def test_a_chosen_recipe_replaces_the_one_of_the_name() -> None:
    for argv in (
        ("model=timm/lcnet_050", "family=transformer"),
        ("family=transformer", "model=timm/lcnet_050"),
    ):
        assert "--config=family/transformer.yaml" in words(*argv)
        assert "--config=family/mobile.yaml" not in words(*argv)


def test_an_experiment_goes_before_the_recipe() -> None:
    translated: list[str] = []
    for name in (path.stem for path in (CONFIGS / "experiment").glob("*.yaml")):
        translated = words(f"experiment={name}", "model=timm/lcnet_050")
        assert translated.index("--config=family/mobile.yaml") < translated.index(
            f"--config=experiment/{name}.yaml"
        )
    assert translated


def test_a_recipe_without_a_network_of_a_library_is_refused() -> None:
    for argv in (("family=mobile",), ("family=mobile", "model=resnet34")):
        with pytest.raises(UsageError, match=r"family: expected a network by its library"):
            words(*argv)


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"family: expected one of convolutional, mobile, "):
        words("model=timm/lcnet_050", "family=mobil")


@pytest.mark.parametrize(
    ("model", "recipe"),
    [
        ("torchvision/vit_b_16", "transformer"),
        ("torchvision/maxvit_t", "transformer"),
        ("torchvision/swin_v2_t", "transformer"),
        ("torchvision/mobilenet_v3_small", "mobile"),
        ("torchvision/efficientnet_v2_s", "mobile"),
        ("timm/tf_efficientnet_lite0.in1k", "mobile"),
        ("timm/convnext_nano.in12k_ft_in1k", "convolutional"),
        ("torchvision/vgg11", "unnormalised"),
        ("torchvision/vgg11_bn", "convolutional"),
        ("torchvision/resnet50", "convolutional"),
    ],
)
def test_a_name_chooses_its_recipe(model: str, recipe: str) -> None:
    assert recipe_of(model, CONFIGS) == recipe


def test_every_recipe_of_the_patterns_is_a_file() -> None:
    from src.system import safe_yaml

    families = safe_yaml.load((CONFIGS / "families.yaml").read_text(encoding="utf-8"))
    assert set(families) == {path.stem for path in (CONFIGS / "family").glob("*.yaml")}
    assert list(families.values())[-1] == ["*"]
