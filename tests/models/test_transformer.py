import pytest
import torch
from pydantic import ValidationError
from torch import nn

from kinemill.models.transformer import Transformer


def test_a_block_computes_what_torch_computes():
    """`torch.nn.TransformerEncoderLayer` with a causal mask is the reference."""
    torch.manual_seed(1)
    settings = Transformer(size=8, heads=2, layers=2, mlp_ratio=2)
    ours = settings.build(inputs=3, outputs=2, history=5).eval()
    block = ours.blocks[0]
    reference = nn.TransformerEncoderLayer(
        8, 2, 16, dropout=0.0, activation=nn.functional.silu, batch_first=True, norm_first=True
    ).eval()
    with torch.no_grad():
        attention = reference.self_attn
        attention.in_proj_weight.copy_(torch.cat([block.query.weight, block.key_value.weight]))
        attention.in_proj_bias.copy_(torch.cat([block.query.bias, block.key_value.bias]))
        attention.out_proj.load_state_dict(block.projection.state_dict())
        reference.linear1.load_state_dict(block.up.state_dict())
        reference.linear2.load_state_dict(block.down.state_dict())
        reference.norm1.load_state_dict(block.attention_norm.state_dict())
        reference.norm2.load_state_dict(block.mlp_norm.state_dict())
    x = torch.randn(4, 5, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    expected = reference(x, src_mask=mask, is_causal=True)
    torch.testing.assert_close(block(x, newest_only=False), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(block(x, newest_only=True), expected[:, -1:], rtol=0, atol=1e-5)


def test_heads_that_do_not_divide_the_size_are_refused():
    with pytest.raises(ValidationError, match="3 heads do not divide a size of 8"):
        Transformer(size=8, heads=3)
